-- user_id is the user for whom something was added: what is kept of it is deleted with them. Pods of the version before leave
-- it NULL; those keys expire after store.IdempotencyLifetime.

-- +goose Up
ALTER TABLE idempotency_keys
  ADD COLUMN user_id BINARY(16) NULL,
  ADD CONSTRAINT idempotency_keys_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;

-- +goose Down
ALTER TABLE idempotency_keys
  DROP FOREIGN KEY idempotency_keys_user,
  DROP KEY idempotency_keys_user,
  DROP COLUMN user_id;
