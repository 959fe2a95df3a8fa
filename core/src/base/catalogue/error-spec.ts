/** The form of an entry of the error catalogue. */

/** Everything known about one error code. */
export interface ErrorSpec<Details> {
  /** True when repeating the same call later can succeed without anyone changing anything. */
  readonly retryable: boolean
  readonly what: (details: Details) => string
  readonly fix: (details: Details) => string
}

/** Names the type of the details, and leaves the rest to inference. */
export const spec = <Details>(entry: ErrorSpec<Details>): ErrorSpec<Details> => entry

/** Where a value was wrong, in the words of the schema library. */
export interface Issue {
  readonly path: string
  readonly message: string
}

export const issueList = (issues: readonly Issue[]): string =>
  issues.map((issue) => `${issue.path || '(root)'}: ${issue.message}`).join('; ')
