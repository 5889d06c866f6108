/** What the operations of groups have in common in their parameters and results. */
import { type TSchema, Type } from 'typebox'
import { LIST_ITEMS_MAX } from '../limits.ts'

export const orNull = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()])
export const oneOf = <A extends string, B extends string>(a: A, b: B, description: string) =>
  Type.Union([Type.Literal(a), Type.Literal(b)], { description })

export const Time = (description: string) =>
  Type.Integer({
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    description: `${description}, ms since 1970.`,
  })
export const Limit = Type.Optional(Type.Integer({ minimum: 1, maximum: LIST_ITEMS_MAX }))
export const Cursor = Type.Optional(Type.String({ maxLength: 96, description: 'From the page before.' }))
export const NextCursor = Type.Optional(Type.String({ description: 'There is more; ask with it.' }))
