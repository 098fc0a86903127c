-- One statement per file: MySQL cannot take back half a migration, so each is done or not done.
-- Only ever add what the version before can live with; take away what no running version uses (expand, contract).

-- +goose Up
CREATE TABLE users (
  id BINARY(16) NOT NULL PRIMARY KEY,
  created_at DATETIME(3) NOT NULL,
  email VARCHAR(254) NOT NULL,
  name VARCHAR(100) NOT NULL,
  password_hash VARCHAR(200) NOT NULL,
  UNIQUE KEY users_email (email)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE users;
