"""Statistics of an evaluation: intervals over infants, differences between systems and raters, the evaluation card."""
