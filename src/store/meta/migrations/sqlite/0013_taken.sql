-- Which server works on an unfinished upload, where several share the database, and until when that
-- counts unless it says more.
ALTER TABLE upload ADD COLUMN taken_by BIGINT;
ALTER TABLE upload ADD COLUMN taken_until BIGINT;
