/** How long an authority counts as there after it was last seen by the others on its store. */

/** A lease that is not renewed for so long may be taken by another process. */
export const leaseMilliseconds = 15_000
/** Workloads are told of an authority for so long after it was last seen. */
export const placesMilliseconds = 3_600_000
