# Renders what comes in as JSON lines on standard input, with Shopify's own Liquid: {"template",
# "data"} becomes {"output"} or {"refused": why}.

ENV['TZ'] = 'UTC' # what a time without an offset means must not depend on the machine

require 'json'
require 'liquid'

# Shopify and Braze run Liquid inside Rails, which tells what is blank and gives a
# text a first and a last letter.
class Object
  def blank?
    respond_to?(:empty?) ? empty? : !self
  end
end

class String
  def blank?
    match?(/\A[[:space:]]*\z/)
  end

  def first
    self[0]
  end

  def last
    self[-1]
  end
end

def render(line)
  given = JSON.parse(line)
  template = Liquid::Template.parse(given['template'], error_mode: :strict)
  { output: template.render!(given['data'], strict_filters: true) }
rescue StandardError => error
  { refused: error.message.lines.first.to_s.strip }
end

$stdout.sync = true
Encoding.default_external = Encoding::UTF_8
$stdin.each_line { |line| puts JSON.generate(render(line)) }
