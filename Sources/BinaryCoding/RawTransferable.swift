/// A type whose values travel between processes as their bytes in memory, without asking `encode(to:)` or `init(from:)`.
///
/// Conform a plain struct of numbers to it, and it, and arrays of it, are copied instead of encoded field by field:
///
/// ```swift
/// struct Particle: Codable, RawTransferable {
///     var position: SIMD3<Float>
///     var mass: Float
/// }
/// ```
///
/// By conforming you promise that **every bit pattern is a valid value**. That holds for structs whose stored properties are integers,
/// floating-point numbers, SIMD vectors of them, or other `RawTransferable` types. It does not hold for enums, `Bool`, `Character`,
/// optionals, or a struct with an invariant between its properties: such a type must not conform, as its bytes are not checked on arrival.
/// Pointers are meaningless in another process, whatever their bytes.
public protocol RawTransferable: BitwiseCopyable {}
