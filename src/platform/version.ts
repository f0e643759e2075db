/** As in package.json; script/generate writes it. */
export const version = "1.0.0";
