-- Journals whose older entries were removed cannot be checked from their beginning without it.

DROP TABLE journal_anchors;
