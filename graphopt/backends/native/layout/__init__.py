"""Which values of a plan lie channels-last: a minimum cut over needs and costs."""
