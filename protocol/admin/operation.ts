/** What an operation of the admin port is; {@link file://./operations.ts} has all of them. */
import type { TObject, TSchema } from 'typebox'
import type { ErrorCode } from '../errors.ts'

export type AdminOperation<Params extends TObject = TObject, Result extends TSchema = TSchema> = {
  readonly summary: string
  /** `read` is answered to GET too; `stream` reads, one JSON document a line, until it ends. */
  readonly kind: 'read' | 'change' | 'stream'
  /** Parameters that the command line takes by place; it takes the others as options. */
  readonly positional: readonly string[]
  readonly params: Params
  /** Of a stream: one line. */
  readonly result: Result
  /** Refusals of its own, beside `ADMIN_COMMON_ERRORS`. */
  readonly errors: readonly ErrorCode[]
  /** Parameters that the log of changes does not show: secrets, and what people wrote. */
  readonly unlogged?: readonly string[]
  /** Largest body of a request; 16 KB if not given. */
  readonly bodyBytesMax?: number
}

/** Keeps the static types of one definition. */
export function define<Params extends TObject, Result extends TSchema>(
  definition: AdminOperation<Params, Result>,
): AdminOperation<Params, Result> {
  return definition
}
