-- +goose Up
CREATE TABLE reviews (
  id BINARY(16) NOT NULL PRIMARY KEY,
  created_at DATETIME(3) NOT NULL,
  shop_id BINARY(16) NOT NULL,
  author_id BINARY(16) NOT NULL,
  stars TINYINT NOT NULL,
  text VARCHAR(1000) NOT NULL,
  likes INT NOT NULL DEFAULT 0,
  UNIQUE KEY reviews_shop_author (shop_id, author_id),
  KEY reviews_shop (shop_id, id),
  CONSTRAINT reviews_shop FOREIGN KEY (shop_id) REFERENCES shops (id),
  CONSTRAINT reviews_author FOREIGN KEY (author_id) REFERENCES users (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE reviews;
