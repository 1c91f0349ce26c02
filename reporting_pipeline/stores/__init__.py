"""What is kept, and where: MongoDB collections with their indexes, and S3 objects. Imports domain only."""
