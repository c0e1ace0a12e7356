-- Run once, when the volume is new: Airflow's own database is made by the image.
CREATE DATABASE claimpost;
CREATE DATABASE erp;
