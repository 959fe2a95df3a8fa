/** Thrown when a run can not begin as it was asked for. The message is one sentence, and says what to do. */
export class CannotRun extends Error {}
