const OFFSET = 0x811c9dc5
const PRIME = 0x01000193

/** FNV-1a [Fowler, Noll, Vo] of 32 bits, signed, over the UTF-16 units of a text; other seeds give other hashes. */
export function fnv1a(text: string, seed = 0): number {
  let hash = OFFSET ^ Math.imul(seed, PRIME)
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), PRIME)
  return hash
}
