-- reviews, stars, likes and score are counted from the tables reviews and likes; see store.Store.Recount.

-- +goose Up
CREATE TABLE shops (
  id BINARY(16) NOT NULL PRIMARY KEY,
  created_at DATETIME(3) NOT NULL,
  creator_id BINARY(16) NOT NULL,
  name VARCHAR(100) NOT NULL,
  city VARCHAR(100) NOT NULL,
  description VARCHAR(500) NOT NULL,
  search_text VARCHAR(201) NOT NULL,
  reviews INT NOT NULL DEFAULT 0,
  stars INT NOT NULL DEFAULT 0,
  likes INT NOT NULL DEFAULT 0,
  score INT NOT NULL,
  KEY shops_score (score DESC, id),
  CONSTRAINT shops_creator FOREIGN KEY (creator_id) REFERENCES users (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE shops;
