-- creator_id is NULL when the user who added the shop is deleted. The previous version only writes it.

-- +goose Up
ALTER TABLE shops MODIFY creator_id BINARY(16) NULL;

-- +goose Down
SELECT 1; -- shops of nobody could not be given back to anybody
