-- Where an account's journal begins once its older entries are removed: the last removed entry and
-- its hash, which the chain goes on from.

CREATE TABLE journal_anchors (
    account_id {text} PRIMARY KEY,
    sequence   BIGINT NOT NULL,
    hash       {bytes} NOT NULL
) {clustered} {updated_in_place};
