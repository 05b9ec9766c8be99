-- What a file is besides its bytes: 1 it can be run, 2 it is a symbolic link and its bytes are the target.
-- Nothing for those that are neither.
ALTER TABLE node ADD COLUMN mode BIGINT;

-- So far WebDAV clients kept it themselves. As a text, bytes are what they are in one database and hex digits
-- in the other.
UPDATE node SET mode = 1 WHERE kind = 1 AND id IN (SELECT node FROM prop
    WHERE ns = 'http://apache.org/dav/props/' AND name = 'executable'
      AND (CAST(xml AS TEXT) LIKE '%>T<%' OR CAST(xml AS TEXT) LIKE '%3e543c%'));
DELETE FROM prop WHERE ns = 'http://apache.org/dav/props/' AND name = 'executable';
