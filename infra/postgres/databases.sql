-- Runs once, on an empty volume: a database and a user for MLflow, and for the studies of `tune`.
\set ON_ERROR_STOP on
\getenv mlflow_password MLFLOW_PASSWORD
\getenv studies_password STUDIES_PASSWORD
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE DATABASE mlflow OWNER mlflow;
CREATE ROLE studies LOGIN PASSWORD :'studies_password';
CREATE DATABASE studies OWNER studies;
-- Each user sees its own only.
REVOKE CONNECT ON DATABASE mlflow, studies, postgres FROM PUBLIC;
