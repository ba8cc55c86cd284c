/* SPDX-License-Identifier: MIT */
/* From a log to a scenario: the same calls for a machine in memory. */
#ifndef FAKEBIND_LOG_SCENARIO_H
#define FAKEBIND_LOG_SCENARIO_H

#include "log_line.h"
#include "scenario.h"

struct log_scenario {
	char *text;         /* as fakebind-play(1) reads it */
	struct scenario_list list; /* one */
	size_t *line;       /* for each step the line it is, or NOT_RECORDED: what stands for others than its programs */
	size_t step_count;
	size_t left_out;    /* lines that nothing stands for */
	bool loopback_alias; /* addresses of the host became 127.1.0.1 and its like */
};

#define NOT_RECORDED SIZE_MAX

void log_to_scenario(const struct log_list *, struct log_scenario *);
void log_scenario_free(struct log_scenario *);

#endif
