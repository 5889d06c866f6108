/** For nodes that share a store and no place for files: a file that only one of them had would be lost to the others. */
import { WochatError } from '../../protocol/errors.ts'
import { type MediaStorage, MissingObjectError } from './storage.ts'

export function createAbsentStorage(): MediaStorage {
  return {
    write: () => Promise.reject(new WochatError('media_off')),
    read: (name) => Promise.reject(new MissingObjectError(name)),
    async remove() {},
    async list() {
      return { objects: [], after: null }
    },
    async check() {},
    async [Symbol.asyncDispose]() {},
  }
}
