"""The site: pages of HTML with one style sheet and one script, which load nothing from elsewhere and need no server."""
