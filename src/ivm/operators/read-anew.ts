/** A step cannot, or should not, be made row by row: the graph is read anew. Never leaves the graph. */
export class ReadAnew extends Error {}
