"""What the front-ends of all frameworks share. No framework is imported here."""
