/// How a value is reached from the one around it.
enum PathKey {
    case none
    case index(Int)
    case key(any CodingKey)

    /// What `CodingKey`s show for it.
    var codingKey: (any CodingKey)? {
        switch self {
        case .none: nil
        case .index(let index): PlainKey(index: index)
        case .key(let key): key
        }
    }
}

/// A key that is no user's: an index, or `super`.
struct PlainKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(stringValue: String) {
        self.stringValue = stringValue
        intValue = nil
    }

    init(intValue: Int) {
        stringValue = String(intValue)
        self.intValue = intValue
    }

    init(index: Int) {
        stringValue = "Index \(index)"
        intValue = index
    }

    static var superclass: PlainKey { PlainKey(stringValue: "super") }
}
