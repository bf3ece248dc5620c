"""Many runs in one place: listing them, clearing what is left over, handing them on, and asking them in SQL."""
