{postgres:ALTER TABLE facts ALTER COLUMN account_id RESET (n_distinct);}
DROP TABLE connected_objects;
