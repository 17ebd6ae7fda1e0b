"""uWSGI's configuration dialect: from its files to ours. Pure, but for what `Host` answers."""
