-- What has to be counted again; written in the transaction of each change, removed by the recount.

-- +goose Up
CREATE TABLE recounts (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  shop_id BINARY(16) NOT NULL,
  review_id BINARY(16) NOT NULL,
  due_at DATETIME(3) NOT NULL,
  tries INT NOT NULL DEFAULT 0,
  KEY recounts_change (shop_id, review_id),
  KEY recounts_due (due_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE recounts;
