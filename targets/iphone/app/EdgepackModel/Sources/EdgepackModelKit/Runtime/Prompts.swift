/// The texts that a model was trained to find in front of others.
struct Prompts: Sendable {
    private let text: Manifest.Text?

    init(bundle: ModelBundle) { text = bundle.manifest.processing.text }

    /// The prompts by name.
    var byName: [String: String] { text?.prompts ?? [:] }

    /// The prompt of that name, the text of one's own, or the model's choice. Throws `ModelError.input`.
    func chosen(_ name: String? = nil, _ own: String? = nil) throws -> String {
        if name != nil && own != nil {
            throw ModelError.input("a prompt is given by its name or as a text, not both")
        }
        if own?.isEmpty == false && text?.includePrompt == false {
            throw ModelError.input("this model leaves prompts out of its vectors, which the bundle cannot do")
        }
        guard let asked = name ?? text?.defaultPrompt, own == nil else { return own ?? "" }
        guard let found = byName[asked] else { throw ModelError.input("the model has no prompt \(asked)") }
        return found
    }
}
