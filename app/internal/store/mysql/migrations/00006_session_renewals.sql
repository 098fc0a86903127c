-- previous_hash and renewed_at are for store.RenewalGrace; sessions_expires is for the sweep of expired sessions.

-- +goose Up
ALTER TABLE sessions
  ADD COLUMN previous_hash BINARY(32) NULL,
  ADD COLUMN renewed_at DATETIME(3) NULL,
  ADD KEY sessions_expires (expires_at);

-- +goose Down
ALTER TABLE sessions
  DROP KEY sessions_expires,
  DROP COLUMN renewed_at,
  DROP COLUMN previous_hash;
