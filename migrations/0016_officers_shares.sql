-- +goose Up

-- A video report that one of the agency's own officers may watch on an issued
-- phone, and who looked there: their number at the agency is the viewer's name.
ALTER TABLE shares ADD COLUMN to_member_id {{.uuid}} REFERENCES staff_members (id);
CREATE INDEX shares_of_officers ON shares (to_member_id, ended_at);
ALTER TABLE viewings ALTER COLUMN user_id DROP NOT NULL;
ALTER TABLE viewings ADD COLUMN staff_member_id {{.uuid}} REFERENCES staff_members (id);
