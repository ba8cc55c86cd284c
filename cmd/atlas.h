/* SPDX-License-Identifier: MIT */
/* The page around the answers, made of cmd/atlas/ by scripts/mkatlas.awk. */
#ifndef FAKEBIND_ATLAS_H
#define FAKEBIND_ATLAS_H

/* The lines before and after the data, up to a NULL. */
extern const char *const atlas_before[], *const atlas_after[];

#endif
