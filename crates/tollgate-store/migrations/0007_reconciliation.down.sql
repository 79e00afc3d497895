DROP TABLE thin_events;
DROP TABLE reconciliation_runs;
DROP TABLE leases;
DROP TABLE doubtful_objects;
