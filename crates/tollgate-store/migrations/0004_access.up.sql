-- Keys, counters, and single values of the deployment.

CREATE TABLE api_keys (
    id           {text} PRIMARY KEY,
    name         {text} NOT NULL,
    secret_hash  {bytes} NOT NULL,
    scopes       {text} NOT NULL,
    account_id   {text},
    expires_at   BIGINT,
    created_at   BIGINT NOT NULL,
    revoked_at   BIGINT,
    last_used_at BIGINT
);

CREATE TABLE usage_counters (
    account_id   {text} NOT NULL,
    feature      {text} NOT NULL,
    period_start BIGINT NOT NULL,
    quantity     BIGINT NOT NULL,
    PRIMARY KEY (account_id, feature, period_start)
) {clustered} {updated_in_place};

CREATE TABLE meta (
    name  {text} PRIMARY KEY,
    value {text} NOT NULL
);
