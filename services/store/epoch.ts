/**
 * The life of a log on the wire: `k1`, `k2`, ... It grows by one when a log was found to have lost entries that a device
 * had; devices only compare it.
 */

/** Most logs live once. */
const KEPT_MAX = 100
const texts: string[] = []

/** Asked for every entry, so that the first ones are kept. */
export function encodeEpoch(epoch: number): string {
  if (epoch >= KEPT_MAX) return `k${epoch}`
  texts[epoch] ??= `k${epoch}`
  return texts[epoch]
}

/** Of what {@link encodeEpoch} made. */
export const parseEpoch = (text: string): number => Number(text.slice(1))
