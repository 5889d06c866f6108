/** Calls leave for another thread or process together, as plain data: one that holds a function must not hold up all. */

type Call = { id: number; op: string; input: unknown }

/** The calls whose input `clone` takes; the others are refused. Slow: for when the calls together could not leave. */
export function keepClonable<Some extends Call>(
  calls: readonly Some[],
  clone: (input: unknown) => unknown,
  refuse: (call: Some, error: Error) => void,
): Some[] {
  return calls.filter((call) => {
    try {
      clone(call.input)
      return true
    } catch (cause) {
      refuse(call, new Error(`${call.op}: what it was called with is no plain data`, { cause }))
      return false
    }
  })
}
