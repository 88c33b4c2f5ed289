"""What people marked, in the forms that annotation tools write."""
