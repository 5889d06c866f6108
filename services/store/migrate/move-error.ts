/** Why a move cannot begin or go on. The message is for the operator. */
export class MoveError extends Error {
  override readonly name = 'MoveError'
}
