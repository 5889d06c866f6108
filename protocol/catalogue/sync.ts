/** What the operations `*.changes` take and answer: items that changed since a version. */
import { type TSchema, Type } from 'typebox'
import { LIST_ITEMS_MAX } from '../limits.ts'

export const changesParams = {
  since: Type.Integer({
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'The `version` that the device was given last; 0 for everything.',
  }),
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: LIST_ITEMS_MAX,
      description: 'What changed at once is never parted.',
    }),
  ),
}

export const Version = Type.Integer({ description: 'Ask for later changes with it.' })

export const Changes = <Item extends TSchema>(item: Item) =>
  Type.Object({
    items: Type.Array(item, { description: 'In the order of their changes, each as it is now.' }),
    version: Version,
    more: Type.Boolean({ description: 'There are further changes after `version`.' }),
  })
