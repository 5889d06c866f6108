/** JSON text in the place of a value: whoever passes it on writes it as it is, and takes nothing apart. */
export class JsonText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}
