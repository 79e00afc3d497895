DROP TABLE doubtful_objects;
DROP TABLE thin_events;
DROP TABLE body_dictionaries;
DROP TABLE event_wakes;
DROP TABLE event_waits;
DROP TABLE webhook_events;
