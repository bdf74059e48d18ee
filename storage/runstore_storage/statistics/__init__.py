"""What events used, added up."""
