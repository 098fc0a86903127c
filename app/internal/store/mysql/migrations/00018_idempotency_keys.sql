-- What was added for which idempotency key; see store.IdempotencyKey.

-- +goose Up
CREATE TABLE idempotency_keys (
  id BINARY(32) NOT NULL PRIMARY KEY,
  request BINARY(32) NOT NULL,
  result TEXT NOT NULL,
  created_at DATETIME(3) NOT NULL,
  KEY idempotency_keys_created (created_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE idempotency_keys;
