/** Whether `value` nests at most `levels` objects or arrays; stops at the first level too deep. */
export function isWithinDepth(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (levels === 0) return false
  for (const child of Object.values(value)) if (!isWithinDepth(child, levels - 1)) return false
  return true
}
