"""What collects the tables."""

from sqlalchemy import MetaData

metadata = MetaData()
