"""Which values of a plan lie channels-last: a minimum cut over what the operators need and conversions cost."""
