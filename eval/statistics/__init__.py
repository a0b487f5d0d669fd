"""From rows to answers: intervals, events, trends, findings."""
