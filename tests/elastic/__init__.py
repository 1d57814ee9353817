"""What only the Elasticsearch store has: a server that can fail, lie, refuse or be somebody else's."""
